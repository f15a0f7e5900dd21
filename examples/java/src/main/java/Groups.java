import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Keeps a merged copy of the groups from a topic of the bridge with `content: events`, in either format. */
public final class Groups {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Later versions and types that we do not know are passed over. */
  private static final Set<String> KNOWN = Set.of(
      "urn:group-sync-bridge:event:group-info-changed:1",
      "urn:group-sync-bridge:event:group-created:1",
      "urn:group-sync-bridge:event:group-destroyed:1",
      "urn:group-sync-bridge:event:group-owner-changed:1",
      "urn:group-sync-bridge:event:group-info-read:1");

  private static final List<String> PROFILE = List.of("name", "introduction", "notification", "faceUrl");
  private static final List<String> SHOWN =
      List.of("name", "introduction", "notification", "faceUrl", "owner", "destroyed");
  private static final String CUSTOM = "customFields.";

  /** The event: as the value (structured), or as `ce_` headers with the data as the value (binary); empty where it is none. */
  static ObjectNode readEvent(ConsumerRecord<String, byte[]> message) {
    ObjectNode event = JSON.createObjectNode();
    JsonNode value;
    try {
      value = JSON.readTree(message.value() == null ? new byte[0] : message.value());
    } catch (IOException noJson) {
      return event;
    }
    if (message.headers().lastHeader("ce_id") == null) return value instanceof ObjectNode structured ? structured : event;
    for (Header header : message.headers()) {
      if (!header.key().startsWith("ce_") || header.value() == null) continue;
      event.put(header.key().substring(3), new String(header.value(), StandardCharsets.UTF_8));
    }
    return event.set("data", value);
  }

  static ObjectNode newGroup(ObjectNode event) {
    ObjectNode group = JSON.createObjectNode().put("destroyed", false);
    group.set("groupId", event.get("subject"));
    group.set("source", event.get("source"));
    group.putObject("customFields");
    group.putObject("versions");
    return group;
  }

  /** Field by field the later (occurredAt, id) wins, so that order and duplicates do not matter. */
  static void merge(ObjectNode group, ObjectNode event) {
    String type = event.path("type").asText();
    JsonNode data = event.path("data");
    JsonNode changed = data.path("changed");
    JsonNode version =
        JSON.createArrayNode().add(data.path("occurredAt").asLong()).add(event.path("id").asText());
    ObjectNode versions = (ObjectNode) group.get("versions");
    ObjectNode custom = (ObjectNode) group.get("customFields");
    JsonNode created = versions.get("created");

    // What is older than the creation belongs to a former group of the same id.
    if (created != null && isLater(created, version)) return;
    if (type.equals("chat.group.created") && isLater(version, created)) {
      for (Iterator<Map.Entry<String, JsonNode>> all = versions.properties().iterator(); all.hasNext(); ) {
        Map.Entry<String, JsonNode> own = all.next();
        if (isLater(own.getValue(), version)) continue;
        all.remove();
        String field = own.getKey();
        if (field.startsWith(CUSTOM)) custom.remove(field.substring(CUSTOM.length()));
        else if (!field.equals("destroyed")) group.remove(field);
      }
      versions.set("created", version);
    }

    Map<String, JsonNode> told = new LinkedHashMap<>();
    for (String field : PROFILE) told.put(field, changed.get(field));
    if (!data.path("groupType").asText().isEmpty()) told.put("groupType", data.get("groupType"));
    // Only a creation, or the service saying that the group is there, brings a destroyed group back.
    if (type.equals("chat.group.destroyed")) told.put("destroyed", JSON.getNodeFactory().booleanNode(true));
    else if (type.equals("chat.group.created") || type.equals("chat.group.info.read"))
      told.put("destroyed", JSON.getNodeFactory().booleanNode(false));
    // A destruction names the owner as he was, which is no change.
    if (!type.equals("chat.group.destroyed")) told.put("owner", data.get("owner"));
    told.put("lastOperator", data.get("operator"));
    told.put("updatedAt", event.get("time"));

    told.forEach((field, value) -> {
      if (value == null || !isLater(version, versions.get(field))) return;
      group.set(field, value);
      versions.set(field, version);
    });
    changed.path("customFields").properties().forEach(entry -> {
      String field = CUSTOM + entry.getKey();
      if (!isLater(version, versions.get(field))) return;
      custom.set(entry.getKey(), entry.getValue());
      versions.set(field, version);
    });
  }

  /** Whether version `a` is later than `b`; the id breaks ties. */
  static boolean isLater(JsonNode a, JsonNode b) {
    if (b == null) return true;
    int byTime = Long.compare(a.get(0).asLong(), b.get(0).asLong());
    return byTime != 0 ? byTime > 0 : a.get(1).asText().compareTo(b.get(1).asText()) > 0;
  }

  public static void main(String[] args) throws IOException {
    Map<String, String> options = new HashMap<>(
        Map.of("--brokers", "127.0.0.1:9092", "--topic", "chat.group-info.events", "--until-end", "no"));
    for (int at = 0; at < args.length; at++)
      options.put(args[at], args[at].equals("--until-end") ? "yes" : args[++at]);
    boolean untilEnd = options.get("--until-end").equals("yes");
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    PrintStream err = new PrintStream(System.err, true, StandardCharsets.UTF_8);

    Properties settings = new Properties();
    settings.put("bootstrap.servers", options.get("--brokers"));
    settings.put("enable.auto.commit", "false");
    // A topic that a reader had created would have the broker's settings, not those that the bridge gives it.
    settings.put("allow.auto.create.topics", "false");

    Map<String, ObjectNode> groups = new LinkedHashMap<>();
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
      // The copy is held in memory, so each start reads from the beginning: nothing is committed.
      Collection<TopicPartition> partitions = new ArrayList<>();
      for (var partition : consumer.partitionsFor(options.get("--topic")))
        partitions.add(new TopicPartition(partition.topic(), partition.partition()));
      if (partitions.isEmpty()) throw new IllegalArgumentException("there is no topic " + options.get("--topic"));
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);

      while (!untilEnd || partitions.stream().anyMatch(one -> consumer.position(one) < ends.get(one))) {
        for (ConsumerRecord<String, byte[]> message : consumer.poll(Duration.ofSeconds(1))) {
          ObjectNode event = readEvent(message);
          if (!KNOWN.contains(event.path("dataschema").asText())) {
            err.println("passed over " + event.path("dataschema"));
            continue;
          }
          // A group of another app is another group, whatever its id.
          String key = event.path("source").asText() + " " + event.path("subject").asText();
          ObjectNode group = groups.computeIfAbsent(key, unseen -> newGroup(event));
          ObjectNode before = group.deepCopy();
          merge(group, event);
          for (String field : SHOWN) {
            JsonNode old = before.path(field);
            JsonNode now = group.path(field);
            if (!old.equals(now)) err.printf("%s %s: %s → %s%n", event.path("subject").asText(), field, old, now);
          }
        }
      }
    }
    out.println(JSON.writeValueAsString(groups.values()));
  }
}
