package state

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// ErrPortTaken says that another program listens where we must.
var ErrPortTaken = errors.New("port is taken")

// ephemeral is where Linux starts handing out ports to outgoing connections; a
// listener up there fails now and then for no visible reason.
const ephemeral = 32768

const portsFile = "ports.json"

// Ports remembers which port each embedded part of a home listens on, so that
// bookmarks and shells keep working and two homes run side by side.
type Ports struct {
	file string
	Of   map[string]int
}

// Ports reads what the home remembers.
func (h Home) Ports() (*Ports, error) {
	p := &Ports{file: h.Path(portsFile), Of: map[string]int{}}
	if err := readJSON(p.file, &p.Of); err != nil {
		return nil, err
	}
	return p, nil
}

// Choose finds the port for a part. A port that the user fixed (not 0) is the
// only candidate. Otherwise it is the remembered one, then the first, then the
// next ones up. The search never leaves the range below the ephemeral ports.
func (p *Ports) Choose(part string, fixed, first int, free func(int) bool) (int, error) {
	if fixed != 0 {
		if !free(fixed) {
			return 0, fmt.Errorf("%s: %w: %d", part, ErrPortTaken, fixed)
		}
		return fixed, nil
	}
	candidates := make([]int, 0, 202)
	if remembered := p.Of[part]; remembered > 0 {
		candidates = append(candidates, remembered)
	}
	for port := first; port < first+200 && port < ephemeral; port++ {
		candidates = append(candidates, port)
	}
	for _, port := range candidates {
		if free(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("%s: %w: none of %d to %d is free", part, ErrPortTaken, first, first+199)
}

// Bind chooses a port, starts a part on it and remembers it. Between the choice
// and the start another home may take the port (start says ErrPortTaken): then
// it chooses again.
func (p *Ports) Bind(part string, fixed, first int, free func(int) bool, start func(int) error) (int, error) {
	for attempt := 0; ; attempt++ {
		port, err := p.Choose(part, fixed, first, free)
		if err != nil {
			return 0, err
		}
		err = start(port)
		if errors.Is(err, ErrPortTaken) && fixed == 0 && attempt < 5 {
			continue
		}
		if err != nil {
			return 0, err
		}
		return port, p.Remember(part, port)
	}
}

// Remember keeps the port that a part got.
func (p *Ports) Remember(part string, port int) error {
	if p.Of[part] == port {
		return nil
	}
	p.Of[part] = port
	return writeJSON(p.file, p.Of)
}

// Free reports whether nothing listens on the loopback port.
func Free(port int) bool {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
