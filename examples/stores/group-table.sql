-- json and not jsonb, which refuses the texts with a NUL that chats may hold.
create table chat_groups (
  source text,
  group_id text,
  state json,
  primary key (source, group_id)
);
