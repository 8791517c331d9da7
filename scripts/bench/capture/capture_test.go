package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	tenant = "0192f0c1-7b7e-7cc3-98c4-dc0c0c073980"
	made   = "0192f0c1-7b7e-7cc3-98c4-dc0c0c073990"
)

// messages are what a client sends to begin a connection and ask for a task.
func messages(t *testing.T) []byte {
	t.Helper()
	var out []byte
	startup := &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "app"}}
	for _, m := range []pgproto3.FrontendMessage{
		startup,
		&pgproto3.Parse{Query: "begin"}, &pgproto3.Bind{},
		&pgproto3.Parse{Query: "insert into app.tasks values ($1, $2, $3, $4, $2)"},
		&pgproto3.Bind{Parameters: [][]byte{[]byte(tenant), []byte(made), nil, []byte("it's 5"), []byte(made)}},
		&pgproto3.Sync{},
	} {
		var err error
		if out, err = m.Encode(out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestRecordsWhatPasses(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	sent := messages(t)
	got := make(chan []byte, 1)
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		all := make([]byte, len(sent))
		_, _ = io.ReadFull(conn, all)
		got <- all
		_, _ = conn.Write([]byte("answer"))
	}()
	r, err := Listen("postgres://app:secret@" + server.Addr().String() + "/db")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := r.listener.Addr().String()
	if !strings.Contains(r.URL, at) {
		t.Errorf("the address is %s", r.URL)
	}
	client, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write(sent); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(<-got, sent) {
		t.Error("the server was sent something else")
	}
	if answer, err := io.ReadAll(client); err != nil || string(answer) != "answer" {
		t.Errorf("the client has %q, %v", answer, err)
	}
	e, err := r.Take(map[string]string{"tenant": tenant})
	want := Exchange{{SQL: "begin"}, {SQL: "insert into app.tasks values ($1, $2, $3, $4, $2)", Parameters: []Parameter{
		{Name: "tenant"}, {Fresh: 1}, {Null: true}, {Text: "it's 5"}, {Fresh: 1},
	}}}
	if err != nil || !reflect.DeepEqual(e, want) {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := r.Take(nil); !errors.Is(err, ErrNothing) {
		t.Errorf("taken twice: %v", err)
	}
	arguments := e.Arguments(map[string]string{"tenant": "t"})[1]
	if arguments[0] != "t" || arguments[1] == made || arguments[1] != arguments[4] || arguments[2] != nil || arguments[3] != "it's 5" {
		t.Errorf("arguments %v", arguments)
	}
	literals := map[string]string{}
	script := e.Script(func(name string) string { return name + "7" }, literals)
	if script != "\\startpipeline\nbegin;\ninsert into app.tasks values (:tenant7, gen_random_uuid(), null, :literal_0, gen_random_uuid());\n\\endpipeline\n" {
		t.Errorf("the script is %s", script)
	}
	if again := e.Script(func(string) string { return "x" }, literals); !strings.Contains(again, ":literal_0") || len(literals) != 1 || literals["literal_0"] != "it's 5" {
		t.Errorf("literals %v", literals)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Listen("::"); err == nil {
		t.Error("took what is no address")
	}
	r := &Recorder{sent: []sent{{sql: "select $1", parameters: [][]byte{{1}}, binary: true}}}
	if _, err := r.Take(nil); !errors.Is(err, ErrBinary) {
		t.Errorf("binary parameters: %v", err)
	}
	huge := binary.BigEndian.AppendUint32(nil, 1<<30)
	for name, in := range map[string][]byte{"a huge message": huge, "half a message": {0, 0, 0, 9, 1}, "a length below its own": {0, 0, 0, 0}} {
		if err := r.follow(bytes.NewReader(in), io.Discard); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}
