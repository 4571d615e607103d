package agent

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"go.etcd.io/bbolt"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// stateRecord is what is kept of one repository.
type stateRecord struct {
	Slug    string        `json:"slug"`
	Counter int64         `json:"counter"`
	Settled int64         `json:"settled"`
	Awaited map[int64]int `json:"awaited,omitempty"`
	Open    []stateBuild  `json:"open,omitempty"`
	Builds  int64         `json:"builds"`
	Counted bool          `json:"counted,omitempty"`
	Newest  int64         `json:"newest,omitempty"`
	Last    *stateLast    `json:"last,omitempty"`
	Failed  *stateLast    `json:"failed,omitempty"`
	// Succeeded is the number of the newest build of the default branch that did.
	Succeeded int64 `json:"succeeded,omitempty"`
}

type stateBuild struct {
	ID      int64 `json:"id"`
	Number  int64 `json:"number"`
	Created int64 `json:"created"`
	Before  bool  `json:"before,omitempty"`
}

type stateLast struct {
	Number   int64   `json:"number"`
	Success  bool    `json:"success"`
	Seconds  float64 `json:"seconds"`
	Finished int64   `json:"finished"`
	// Status and Branch are told of Failed alone.
	Status droneapi.Status `json:"status,omitempty"`
	Branch string          `json:"branch,omitempty"`
}

func newStateLast(number int64, build *instruments.LastBuild) *stateLast {
	return &stateLast{
		Number: number, Success: build.Success, Seconds: build.Duration.Seconds(), Finished: build.Finished.Unix(),
	}
}

func (s *stateLast) build() instruments.LastBuild {
	return instruments.LastBuild{
		Success: s.Success, Finished: unix(s.Finished), Duration: time.Duration(s.Seconds * float64(time.Second)),
	}
}

// putRecord writes what is known of a repository.
func putRecord(bucket *bbolt.Bucket, id int64, r *repository) error {
	record := stateRecord{
		Slug: r.Slug, Counter: r.Counter, Settled: r.ledger.settled, Awaited: r.ledger.awaited,
		Builds: r.builds, Counted: r.counted, Succeeded: r.lastSucceeded,
	}
	if !r.newest.IsZero() {
		record.Newest = r.newest.Unix()
	}
	for _, open := range r.open {
		b := stateBuild{ID: open.id, Number: open.number, Before: open.before}
		if !open.created.IsZero() {
			b.Created = open.created.Unix()
		}
		record.Open = append(record.Open, b)
	}
	if r.last != nil {
		record.Last = newStateLast(r.lastNumber, r.last)
	}
	if r.lastFailed != nil {
		record.Failed = newStateLast(r.lastFailed.number, &r.lastFailed.LastBuild)
		record.Failed.Status, record.Failed.Branch = r.lastFailed.status, r.lastFailed.branch
	}
	raw, err := json.Marshal(record)
	if err != nil {
		return err
	}
	key := make([]byte, 8)
	binary.BigEndian.PutUint64(key, uint64(id))
	return bucket.Put(key, append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(raw)), raw...))
}

// decodeRecord reads what was written of a repository. What cannot be true is an error.
func decodeRecord(id int64, raw []byte) (*repository, error) {
	var record stateRecord
	if err := json.Unmarshal(raw, &record); err != nil {
		return nil, fmt.Errorf("repository %d: %w", id, err)
	}
	if id <= 0 || record.Settled < 0 || record.Counter < 0 || record.Builds < 0 {
		return nil, fmt.Errorf("repository %d: numbers below zero", id)
	}
	r := &repository{
		Repo:   droneapi.Repo{ID: id, Slug: record.Slug, Counter: record.Counter},
		ledger: ledger{settled: record.Settled}, builds: record.Builds, counted: record.Counted,
		newest: unix(record.Newest),
	}
	for number, missed := range record.Awaited {
		if number <= 0 || number > record.Settled {
			return nil, fmt.Errorf("repository %d: awaits build %d of %d", id, number, record.Settled)
		}
		r.ledger.await(number)
		r.ledger.awaited[number] = max(1, missed)
	}
	for _, b := range record.Open {
		if b.Number <= 0 {
			return nil, fmt.Errorf("repository %d: an open build %d", id, b.Number)
		}
		r.watch(droneapi.Build{ID: b.ID, Number: b.Number, Created: b.Created}).before = b.Before
	}
	for _, last := range []*stateLast{record.Last, record.Failed} {
		if last != nil && last.Number <= 0 {
			return nil, fmt.Errorf("repository %d: build %d has ended", id, last.Number)
		}
	}
	if record.Last != nil {
		last := record.Last.build()
		r.last, r.lastNumber, r.lastSucceeded = &last, record.Last.Number, record.Succeeded
		if last.Success { // an older version wrote nothing else
			r.lastSucceeded = max(r.lastSucceeded, r.lastNumber)
		}
	}
	if failed := record.Failed; failed != nil {
		r.lastFailed = &failedBuild{
			LastBuild: failed.build(), number: failed.Number, status: failed.Status, branch: failed.Branch,
		}
	}
	return r, nil
}
