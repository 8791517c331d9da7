package state

import (
	"crypto/rand"
)

const passwordsFile = "passwords.json"

// Passwords of the roles of a home's own database, and its other secrets of one
// text. They are made once and never leave the home.
type Passwords struct {
	Superuser string `json:"superuser"`
	Migrator  string `json:"migrator"`
	App       string `json:"app"`
	System    string `json:"system"`
	// Objects signs links to the home's objects.
	Objects string `json:"objects"`
}

// Passwords reads the home's passwords and makes those that are missing. The
// file is readable by its owner alone.
func (h Home) Passwords() (Passwords, error) {
	var p Passwords
	file := h.Path(passwordsFile)
	if err := readJSON(file, &p); err != nil {
		return p, err
	}
	before := p
	for _, field := range []*string{&p.Superuser, &p.Migrator, &p.App, &p.System} {
		if *field == "" {
			*field = rand.Text() // 128 bits, letters and digits: safe in a URL and in a quoted file.
		}
	}
	if p.Objects == "" {
		p.Objects = rand.Text() + rand.Text()
	}
	if p == before {
		return p, nil
	}
	return p, writeJSON(file, p)
}
