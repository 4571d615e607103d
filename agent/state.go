package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// What survives a restart is, for each repository, which build numbers are decided on and which builds are
// open. It is written after the builds of a poll were told: an agent that is killed in between tells those of
// its last poll again, and loses none.

// stateVersion is the version of what is in the file. A file with another one is set aside.
const stateVersion = 1

// stateFile is the name of the file in the folder state.path.
const stateFile = "builds.db"

// stateLockTimeout bounds the wait for another agent to let go of the file.
const stateLockTimeout = 2 * time.Second

// stateMeta says what the file is about.
type stateMeta struct {
	Version int    `json:"version"`
	Server  string `json:"server"`
	// Edition is the one by which the builds were counted.
	Edition string `json:"edition"`
}

// names of the buckets and of the one key in the first.
func bucketMeta() []byte  { return []byte("meta") }
func bucketRepos() []byte { return []byte("repositories") }
func keyMeta() []byte     { return []byte("meta") }

// state is the file, or nothing where there is none: then all is forgotten with the process.
type state struct {
	db     *bbolt.DB
	server string
	log    *slog.Logger
	// failed tells that the last write failed, so that it is logged once.
	failed bool
}

// openState opens the file in a folder, and makes it where there is none. A file that cannot be read, is of
// another version or of another server is set aside. Where the folder cannot be written the agent runs without.
func openState(folder, server string, log *slog.Logger) *state {
	s := &state{server: server, log: log}
	if folder == "" {
		log.Warn("state.path is not set: builds that end while the agent is down are not told")
		return s
	}
	path := filepath.Join(folder, stateFile)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		s.without(path, err)
		return s
	}
	db, err := openBolt(path)
	if err == nil {
		if why := s.foreign(db); why != "" {
			err = errors.Join(errForeign, errors.New(why), db.Close())
		}
	}
	switch {
	case err == nil:
		s.db = db
	case errors.Is(err, bolterrors.ErrTimeout):
		s.without(path, errors.New("another process holds it; two agents need folders of their own"))
	case errors.Is(err, errForeign), errors.Is(err, errDamaged), errors.Is(err, bolterrors.ErrInvalid),
		errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum), isShort(err):
		s.setAside(path, err)
	default: // it says nothing about what is in the file
		s.without(path, err)
	}
	return s
}

// isShort tells whether the file ends too early for bbolt.
func isShort(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "file size too small")
}

// errForeign says that a file is none of this agent's, errDamaged that it cannot be read.
var (
	errForeign = errors.New("it is not the state of this agent")
	errDamaged = errors.New("damaged")
)

// openBolt opens a file.
func openBolt(path string) (db *bbolt.DB, err error) {
	err = guarded(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: stateLockTimeout, FreelistType: bbolt.FreelistMapType})
		return err
	})
	return db, err
}

// foreign tells why a file is not to be used; empty where it is.
func (s *state) foreign(db *bbolt.DB) string {
	var why string
	err := guarded(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(bucketMeta())
			if bucket == nil {
				return tx.ForEach(func([]byte, *bbolt.Bucket) error {
					why = "it is a database of something else"
					return nil
				}) // new where there is nothing in it
			}
			var meta stateMeta
			switch err := json.Unmarshal(bucket.Get(keyMeta()), &meta); {
			case err != nil:
				why = fmt.Sprintf("its description cannot be read: %v", err)
			case meta.Version != stateVersion:
				why = fmt.Sprintf("it has version %d, and this agent reads %d", meta.Version, stateVersion)
			case meta.Server != s.server:
				why = fmt.Sprintf("it is about the server %s", meta.Server)
			}
			return nil
		})
	})
	if err != nil {
		return err.Error()
	}
	return why
}

// guarded turns what bbolt does over damaged pages into errors: it panics, and reads past the end of a file that was
// cut short, where it is mapped into memory.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if found := recover(); found != nil {
			err = fmt.Errorf("%w: %v", errDamaged, found)
		}
	}()
	return do()
}

// without goes on without a file.
func (s *state) without(path string, err error) {
	s.log.Error("the state file cannot be used; the agent runs on, but builds that end while it is down are not told",
		"file", path, "error", err, "cure", "state.path must be a folder that the agent may write, with room on the disk")
}

// setAside renames a file that cannot be used and begins a new one.
func (s *state) setAside(path string, cause error) {
	aside := fmt.Sprintf("%s.unusable-%s", path, time.Now().UTC().Format("20060102T150405"))
	if err := os.Rename(path, aside); err != nil {
		s.without(path, errors.Join(cause, err))
		return
	}
	s.log.Warn("the state file was set aside and a new one begun; builds that ended while the agent was down are not told",
		"file", path, "now", aside, "error", cause)
	db, err := openBolt(path)
	if err != nil {
		s.without(path, err)
		return
	}
	s.db = db
}

func (s *state) close() {
	if s.db != nil {
		_ = guarded(s.db.Close)
		s.db = nil
	}
}

// load fills a watcher with what is in the file. Where it is damaged the watcher is left empty.
func (s *state) load(w *watcher) {
	if s.db == nil {
		return
	}
	meta, repos, err := readRecords(s.db)
	if err != nil {
		path := s.db.Path()
		s.close()
		s.setAside(path, err)
		return
	}
	if len(repos) > 0 {
		w.restore(meta.Edition, repos)
		s.log.Info("knows the builds from before the restart", "repositories", len(repos))
	}
}

// readRecords reads everything that is in the file.
func readRecords(db *bbolt.DB) (meta stateMeta, repos map[int64]*repository, err error) {
	repos = map[int64]*repository{}
	err = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			if tx.Bucket(bucketMeta()) == nil || tx.Bucket(bucketRepos()) == nil {
				return nil
			}
			if err := json.Unmarshal(tx.Bucket(bucketMeta()).Get(keyMeta()), &meta); err != nil {
				return err
			}
			return tx.Bucket(bucketRepos()).ForEach(func(key, value []byte) error {
				if len(key) != 8 {
					return fmt.Errorf("a key of %d bytes", len(key))
				}
				id := int64(binary.BigEndian.Uint64(key))
				if len(value) < crc32.Size || crc32.ChecksumIEEE(value[crc32.Size:]) != binary.BigEndian.Uint32(value) {
					return fmt.Errorf("%w: the checksum of repository %d does not fit", errDamaged, id)
				}
				r, err := decodeRecord(id, value[crc32.Size:])
				repos[id] = r
				return err
			})
		})
	})
	return meta, repos, err
}

// peekState fills a watcher with what is in the file without changing it, and tells whether there is one. A
// running agent holds its file; then the error says so.
func peekState(folder, server string, w *watcher) (known bool, err error) {
	path := filepath.Join(folder, stateFile)
	if _, err := os.Stat(path); folder == "" || err != nil {
		return false, nil
	}
	var db *bbolt.DB
	err = guarded(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: stateLockTimeout, ReadOnly: true})
		return err
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return false, fmt.Errorf("reading the state %s: the agent runs and holds it; look at a copy of it, or stop the agent",
			path)
	}
	if err != nil {
		return false, fmt.Errorf("reading the state %s: %w", path, err)
	}
	defer func() { _ = guarded(db.Close) }()
	if why := (&state{server: server}).foreign(db); why != "" {
		return false, fmt.Errorf("reading the state %s: %s", path, why)
	}
	meta, repos, err := readRecords(db)
	if err != nil {
		return false, fmt.Errorf("reading the state %s: %w", path, err)
	}
	w.restore(meta.Edition, repos)
	return len(repos) > 0, nil
}

// save writes what is known of the repositories that changed. A disk that is full or read-only is logged once,
// and the agent runs on: the repositories are handed back to be written the next time.
func (s *state) save(edition string, changed map[int64]*repository) (left map[int64]*repository) {
	if s.db == nil || len(changed) == 0 {
		return nil
	}
	err := guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			meta, err := tx.CreateBucketIfNotExists(bucketMeta())
			if err != nil {
				return err
			}
			raw, err := json.Marshal(stateMeta{Version: stateVersion, Server: s.server, Edition: edition})
			if err != nil {
				return err
			}
			if err := meta.Put(keyMeta(), raw); err != nil {
				return err
			}
			bucket, err := tx.CreateBucketIfNotExists(bucketRepos())
			if err != nil {
				return err
			}
			for id, r := range changed {
				if err := putRecord(bucket, id, r); err != nil {
					return err
				}
			}
			return nil
		})
	})
	switch {
	case err != nil && !s.failed:
		s.log.Error("the state cannot be written; the agent runs on, but builds may be told again after a restart",
			"file", s.db.Path(), "error", err, "cure", "see that the disk has room and may be written")
	case err == nil && s.failed:
		s.log.Info("the state is written again", "file", s.db.Path())
	}
	if s.failed = err != nil; s.failed {
		return changed
	}
	return nil
}
