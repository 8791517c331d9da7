package mail

import "context"

// named fills in who mail is from, and lets nothing malformed through.
type named struct {
	to          Sender
	from, reply Address
}

func (n named) Send(ctx context.Context, m Message) error {
	if m.From.Address == "" {
		name := m.From.Name
		m.From = n.from
		if name != "" {
			m.From.Name = name
		}
	}
	if m.ReplyTo.Address == "" {
		m.ReplyTo = n.reply
	}
	if err := m.fault(); err != nil {
		return err
	}
	return n.to.Send(ctx, m)
}
