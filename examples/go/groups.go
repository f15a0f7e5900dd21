// Keeps a merged copy of the groups from a topic of the bridge with `content: events`, in either format.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Later versions and types that we do not know are passed over.
var known = map[string]bool{
	"urn:group-sync-bridge:event:group-info-changed:1":  true,
	"urn:group-sync-bridge:event:group-created:1":       true,
	"urn:group-sync-bridge:event:group-destroyed:1":     true,
	"urn:group-sync-bridge:event:group-owner-changed:1": true,
	"urn:group-sync-bridge:event:group-info-read:1":     true,
}

var shown = []string{"name", "introduction", "notification", "faceUrl", "owner", "destroyed"}

// Event holds what a group is made of. A pointer tells "" (cleared) from absent (unchanged).
type Event struct {
	ID         string `json:"id"`
	Source     string `json:"source"`
	Type       string `json:"type"`
	Subject    string `json:"subject"`
	Time       string `json:"time"`
	DataSchema string `json:"dataschema"`
	Data       struct {
		GroupType string  `json:"groupType"`
		Operator  *string `json:"operator"`
		Owner     *string `json:"owner"`
		Changed   struct {
			Name         *string           `json:"name"`
			Introduction *string           `json:"introduction"`
			Notification *string           `json:"notification"`
			FaceURL      *string           `json:"faceUrl"`
			CustomFields map[string]string `json:"customFields"`
		} `json:"changed"`
		OccurredAt int64 `json:"occurredAt"` // milliseconds since 1970
	} `json:"data"`
}

// Version is the last change of a field.
type Version struct {
	OccurredAt int64
	ID         string
}

func (v Version) later(other Version) bool {
	return v.OccurredAt > other.OccurredAt || v.OccurredAt == other.OccurredAt && v.ID > other.ID
}

func (v Version) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{v.OccurredAt, v.ID})
}

// Group holds each field by the name that it has in JSON.
type Group struct {
	fields   map[string]any
	custom   map[string]string
	versions map[string]Version
}

func newGroup(event Event) *Group {
	fields := map[string]any{"groupId": event.Subject, "source": event.Source, "destroyed": false}
	return &Group{fields, map[string]string{}, map[string]Version{}}
}

func (g *Group) MarshalJSON() ([]byte, error) {
	all := map[string]any{"customFields": g.custom, "versions": g.versions}
	for field, value := range g.fields {
		all[field] = value
	}
	return json.Marshal(all)
}

// The event: as the value (structured), or as `ce_` headers with the data as the value (binary).
func readEvent(record *kgo.Record) (event Event, err error) {
	attributes := map[string]string{}
	for _, header := range record.Headers {
		if name, is := strings.CutPrefix(header.Key, "ce_"); is {
			attributes[name] = string(header.Value)
		}
	}
	if _, is := attributes["id"]; !is {
		return event, json.Unmarshal(record.Value, &event)
	}
	event = Event{
		ID: attributes["id"], Source: attributes["source"], Type: attributes["type"],
		Subject: attributes["subject"], Time: attributes["time"], DataSchema: attributes["dataschema"],
	}
	return event, json.Unmarshal(record.Value, &event.Data)
}

// Field by field the later (occurredAt, id) wins, so that order and duplicates do not matter.
func (g *Group) merge(event Event) {
	version := Version{event.Data.OccurredAt, event.ID}
	created, isCreated := g.versions["created"]
	// What is older than the creation belongs to a former group of the same id.
	if isCreated && created.later(version) {
		return
	}
	if event.Type == "chat.group.created" && (!isCreated || version.later(created)) {
		g.forgetBefore(version)
	}

	put := func(field string, set func()) {
		if last, is := g.versions[field]; !is || version.later(last) {
			set()
			g.versions[field] = version
		}
	}
	tell := func(field string, value any) { put(field, func() { g.fields[field] = value }) }
	tellText := func(field string, value *string) {
		if value != nil {
			tell(field, *value)
		}
	}
	data := event.Data
	tellText("name", data.Changed.Name)
	tellText("introduction", data.Changed.Introduction)
	tellText("notification", data.Changed.Notification)
	tellText("faceUrl", data.Changed.FaceURL)
	for key, value := range data.Changed.CustomFields {
		put("customFields."+key, func() { g.custom[key] = value })
	}
	if data.GroupType != "" {
		tell("groupType", data.GroupType)
	}
	// Only a creation, or the service saying that the group is there, brings a destroyed group back.
	switch event.Type {
	case "chat.group.destroyed":
		tell("destroyed", true)
	case "chat.group.created", "chat.group.info.read":
		tell("destroyed", false)
	}
	// A destruction names the owner as he was, which is no change.
	if event.Type != "chat.group.destroyed" {
		tellText("owner", data.Owner)
	}
	tellText("lastOperator", data.Operator)
	tell("updatedAt", event.Time)
}

func (g *Group) forgetBefore(version Version) {
	for field, own := range g.versions {
		if own.later(version) {
			continue
		}
		delete(g.versions, field)
		if key, is := strings.CutPrefix(field, "customFields."); is {
			delete(g.custom, key)
		} else if field != "destroyed" {
			delete(g.fields, field)
		}
	}
	g.versions["created"] = version
}

func main() {
	brokers := flag.String("brokers", "127.0.0.1:9092", "")
	topic := flag.String("topic", "chat.group-info.events", "")
	untilEnd := flag.Bool("until-end", false, "")
	flag.Parse()
	ctx := context.Background()

	// The copy is held in memory, so each start reads from the beginning: nothing is committed.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(*brokers, ",")...),
		kgo.ConsumeTopics(*topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// Where a transaction wrote the topic, a partition may end with its marker.
		kgo.KeepControlRecords(),
	)
	check(err)
	defer client.Close()
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, *topic)
	check(err)
	check(starts.Error())
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, *topic)
	check(err)
	check(ends.Error())
	// What is still to be read of what lay in the topic when we started.
	ahead := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, _ := starts.Lookup(*topic, end.Partition); start.Offset < end.Offset {
			ahead[end.Partition] = end.Offset
		}
	})

	groups := map[string]*Group{}
	for !*untilEnd || len(ahead) > 0 {
		fetches := client.PollFetches(ctx)
		check(fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			if !record.Attrs.IsControl() {
				take(groups, record)
			}
			if record.Offset+1 >= ahead[record.Partition] {
				delete(ahead, record.Partition)
			}
		})
	}
	all := make([]*Group, 0, len(groups))
	for _, group := range groups {
		all = append(all, group)
	}
	check(json.NewEncoder(os.Stdout).Encode(all))
}

func take(groups map[string]*Group, record *kgo.Record) {
	event, err := readEvent(record)
	if err != nil || !known[event.DataSchema] {
		fmt.Fprintf(os.Stderr, "passed over %s/%d@%d %s\n", record.Topic, record.Partition, record.Offset, event.DataSchema)
		return
	}
	// A group of another app is another group, whatever its id.
	key := event.Source + " " + event.Subject
	group, is := groups[key]
	if !is {
		group = newGroup(event)
		groups[key] = group
	}
	before := map[string]any{}
	for _, field := range shown {
		before[field] = group.fields[field]
	}
	group.merge(event)
	for _, field := range shown {
		if before[field] != group.fields[field] {
			fmt.Fprintf(os.Stderr, "%s %s: %#v → %#v\n", event.Subject, field, before[field], group.fields[field])
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
