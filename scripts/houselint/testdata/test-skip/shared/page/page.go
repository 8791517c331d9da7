package page

type reader struct{}

func (reader) Skip() {}

func next(t reader) { t.Skip() }
