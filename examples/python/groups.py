"""Keeps a merged copy of the groups from a topic of the bridge with `content: events`, in either format."""

import argparse
import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

TYPES = ("group-info-changed", "group-created", "group-destroyed", "group-owner-changed", "group-info-read")
# Later versions and types that we do not know are passed over.
KNOWN = [f"urn:group-sync-bridge:event:{name}:1" for name in TYPES]

PROFILE = ("name", "introduction", "notification", "faceUrl")
SHOWN = (*PROFILE, "owner", "destroyed")


def read_event(message):
    """The event: as the value (structured), or as `ce_` headers with the data as the value (binary); empty where it is none."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or []}
    try:
        value = json.loads(message.value() or b"")
    except (ValueError, RecursionError):
        return {}
    if "ce_id" in headers:
        value = {name[3:]: text for name, text in headers.items() if name.startswith("ce_")} | {"data": value}
    return value if isinstance(value, dict) and isinstance(value.get("data"), dict) else {}


def new_group(event):
    app = {"groupId": event["subject"], "source": event["source"]}
    return app | {"customFields": {}, "destroyed": False, "versions": {}}


def merge(group, event):
    """Field by field the later (occurredAt, id) wins, so that order and duplicates do not matter."""
    kind, data, versions = event["type"], event["data"], group["versions"]
    changed = data["changed"]
    version = [data["occurredAt"], event["id"]]
    created = versions.get("created")

    # What is older than the creation belongs to a former group of the same id.
    if created is not None and version < created:
        return
    if kind == "chat.group.created" and (created is None or version > created):
        for field in [field for field, own in versions.items() if own <= version]:
            del versions[field]
            if field.startswith("customFields."):
                del group["customFields"][field.removeprefix("customFields.")]
            elif field != "destroyed":
                group.pop(field, None)
        versions["created"] = version

    def put(owner, key, field, value):
        if field not in versions or version > versions[field]:
            owner[key] = value
            versions[field] = version

    told = {field: changed[field] for field in PROFILE if field in changed}
    if data["groupType"]:
        told["groupType"] = data["groupType"]
    # Only a creation, or the service saying that the group is there, brings a destroyed group back.
    if kind == "chat.group.destroyed":
        told["destroyed"] = True
    elif kind in ("chat.group.created", "chat.group.info.read"):
        told["destroyed"] = False
    # A destruction names the owner as he was, which is no change.
    if "owner" in data and kind != "chat.group.destroyed":
        told["owner"] = data["owner"]
    if "operator" in data:
        told["lastOperator"] = data["operator"]
    told["updatedAt"] = event["time"]

    for field, value in told.items():
        put(group, field, field, value)
    for key, value in changed.get("customFields", {}).items():
        put(group["customFields"], key, f"customFields.{key}", value)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--brokers", default="127.0.0.1:9092")
    arguments.add_argument("--topic", default="chat.group-info.events")
    arguments.add_argument("--until-end", action="store_true")
    options = arguments.parse_args()

    consumer = Consumer(
        {
            "bootstrap.servers": options.brokers,
            "group.id": "groups-example",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    # The copy is held in memory, so each start reads from the beginning: nothing is committed.
    topic = consumer.list_topics(options.topic, timeout=30).topics[options.topic]
    if topic.error is not None:
        raise KafkaException(topic.error)
    consumer.assign([TopicPartition(options.topic, number, OFFSET_BEGINNING) for number in topic.partitions])

    groups = {}
    at_end = set()
    while not (options.until_end and at_end == set(topic.partitions)):
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is not None:
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            at_end.add(message.partition())
            continue

        event = read_event(message)
        if event.get("dataschema") not in KNOWN:
            print(f"passed over {event.get('dataschema')}", file=sys.stderr)
            continue
        # A group of another app is another group, whatever its id.
        group = groups.setdefault((event["source"], event["subject"]), new_group(event))
        before = dict(group)
        merge(group, event)
        for field in SHOWN:
            if before.get(field) != group.get(field):
                print(f"{event['subject']} {field}: {before.get(field)!r} → {group.get(field)!r}", file=sys.stderr)

    consumer.close()
    print(json.dumps(list(groups.values())))


if __name__ == "__main__":
    main()
