package worker

import "runtime/debug"

// Build says which program this is.
type Build struct{ Version, Commit, Go string }

// NewBuild returns the version that was given to the linker, or what the Go
// toolchain has noted.
func NewBuild(version, commit string) Build {
	b := Build{Version: version, Commit: commit}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			if b.Commit == "" {
				b.Commit = s.Value
			}
		case "vcs.modified":
			if s.Value == "true" && commit == "" {
				dirty = "-dirty"
			}
		}
	}
	b.Commit += dirty
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}
