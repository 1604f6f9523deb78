package worker_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The numbers of the codecs in a record batch.
const gzipped, snappied, lz4d = 1, 2, 3

func TestWorker_SourcesCompress(t *testing.T) {
	t.Parallel()
	in := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(in, []byte(strings.Repeat("a line ", 500)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	byDefault, told := startWorker(t), startWorker(t, "PENSTOCK_PRODUCER_COMPRESSION_TYPE=gzip")
	for _, tc := range []struct {
		name     string
		w        *testWorker
		override string
		want     uint8
	}{
		{"default", byDefault, "", lz4d},
		{"overridden", byDefault, "none", 0},
		{"worker", told, "", gzipped},
		{"worker-overridden", told, "snappy", snappied},
	} {
		config := map[string]string{"connector.class": "file-source", "file": in, "topic": tc.name}
		if tc.override != "" {
			config["producer.override.compression.type"] = tc.override
		}
		tc.w.request(t, http.MethodPut, "/connectors/"+tc.name+"/config", config, 201)
		cl := newClient(t, tc.w.bootstrap, kgo.ConsumeTopics(tc.name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(50*time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		records := cl.PollFetches(ctx).Records()
		cancel()
		cl.Close()
		if len(records) == 0 {
			t.Errorf("%s: no record came\n%s", tc.name, tc.w.tail())
			continue
		}
		if got := records[0].Attrs.CompressionType(); got != tc.want {
			t.Errorf("%s: the batch has codec %d, want %d", tc.name, got, tc.want)
		}
	}
}
