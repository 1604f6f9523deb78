package mongodb

import (
	"errors"
	"testing"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// TestSink_StateOfTheServerIsNoRecordsFault has answers about single writes
// that MongoDB gives when it is in trouble, which it will not be on command: a
// disk that is full, a primary that steps down.
func TestSink_StateOfTheServerIsNoRecordsFault(t *testing.T) {
	t.Parallel()
	for _, code := range []int{
		6, 7, 24, 46, 50, 63, 64, 89, 91, 112, 117, 133, 134, 146, 150, 189, 202, 234, 262, 290, 314, 9001, 10107, 11600, 11602, 13388, 13435, 13436, 14031,
	} {
		s := &sink{config: &config{}, build: newBuilder(&config{typed: true})}
		var records []schema.Record
		for i := range 3 {
			name, value := schema.Text("n"), schema.Int(int64(i))
			records = append(records, schema.Record{
				Topic: "t", Offset: int64(i), Key: schema.Data{Value: value},
				Value: schema.Data{Value: schema.Seq(schema.KindMap, []schema.Value{name, value})},
			})
		}
		s.compile(records)
		ops := s.rounds.Next(nil)
		err := s.answer(namespace{"d", "t"}, ops, []mongo.WriteError{{Index: 1, Code: code}, {Index: 2, Code: 121}}, false)
		var some *sinks.WriteError
		if err == nil || errors.As(err, &some) || sinks.IsPermanent(err) {
			t.Errorf("code %d: %v, want an error about the destination", code, err)
		}
	}
}
