package prometheus

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Record stores what a query answers now under a name, as a recording rule does.
func (s *Server) Record(ctx context.Context, name, query string) error {
	series, err := s.Query(ctx, query)
	if err != nil {
		return err
	}
	storage, now := s.db.Appender(ctx), time.Now().UnixMilli()
	for _, one := range series {
		named := labels.NewBuilder(one.Metric).Set(model.MetricNameLabel, name).Labels()
		if one.H != nil {
			_, err = storage.AppendHistogram(0, named, now, nil, one.H)
		} else {
			_, err = storage.Append(0, named, now, one.F)
		}
		if err != nil {
			_ = storage.Rollback()
			return fmt.Errorf("recording %s: %w", named, err)
		}
	}
	return storage.Commit()
}
