package droneapi

import (
	"fmt"
	"log/slog"
)

// restyLog takes resty's own lines into the agent's log, at debug level: what they tell (an attempt failed)
// comes back as an error too, and the caller logs that once.
type restyLog struct{ log *slog.Logger }

func (l restyLog) Errorf(format string, v ...any) { l.log.Debug("resty: " + fmt.Sprintf(format, v...)) }
func (l restyLog) Warnf(format string, v ...any)  { l.log.Debug("resty: " + fmt.Sprintf(format, v...)) }
func (l restyLog) Debugf(format string, v ...any) { l.log.Debug("resty: " + fmt.Sprintf(format, v...)) }
