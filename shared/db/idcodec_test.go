package db

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/coditect/platform/shared/ids"
)

func TestIDCodec(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	registerIDs(m)
	id := ids.New()
	for name, tc := range map[string]struct {
		oid    uint32
		format int16
		value  any
		want   string
	}{
		"text":                          {pgtype.UUIDOID, pgtype.TextFormatCode, id, id.String()},
		"binary":                        {pgtype.UUIDOID, pgtype.BinaryFormatCode, id, string(id[:])},
		"a parameter of no known type":  {0, pgtype.TextFormatCode, id, id.String()},
		"one behind a pointer":          {0, pgtype.TextFormatCode, &id, id.String()},
		"for a text column":             {pgtype.TextOID, pgtype.TextFormatCode, id, id.String()},
		"several":                       {pgtype.UUIDArrayOID, pgtype.TextFormatCode, []ids.ID{id}, "{" + id.String() + "}"},
		"what is no id of ours":         {pgtype.UUIDOID, pgtype.TextFormatCode, id.String(), id.String()},
		"what is no id of ours, binary": {pgtype.UUIDOID, pgtype.BinaryFormatCode, [16]byte(id), string(id[:])},
	} {
		got, err := m.Encode(tc.oid, tc.format, tc.value, []byte("before "))
		if err != nil || string(got) != "before "+tc.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, none := range map[string]any{"nil": nil, "a nil pointer": (*ids.ID)(nil)} {
		if got, err := m.Encode(pgtype.UUIDOID, pgtype.TextFormatCode, none, nil); got != nil || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}

	for name, src := range map[string][]byte{"text": []byte(id.String()), "binary": id[:]} {
		format := int16(pgtype.TextFormatCode)
		if name == "binary" {
			format = pgtype.BinaryFormatCode
		}
		var got ids.ID
		var pointed *ids.ID
		if err := m.Scan(pgtype.UUIDOID, format, src, &got); err != nil || got != id {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if err := m.Scan(pgtype.UUIDOID, format, src, &pointed); err != nil || pointed == nil || *pointed != id {
			t.Errorf("%s behind a pointer: %v, %v", name, pointed, err)
		}
		if err := m.Scan(pgtype.UUIDOID, format, nil, &pointed); err != nil || pointed != nil {
			t.Errorf("%s, null behind a pointer: %v, %v", name, pointed, err)
		}
		if err := m.Scan(pgtype.UUIDOID, format, nil, &got); err != nil || got != id {
			t.Errorf("%s, null: %v, %v", name, got, err)
		}
		var text pgtype.UUID
		if err := m.Scan(pgtype.UUIDOID, format, src, &text); err != nil || text.Bytes != id {
			t.Errorf("%s into pgx's own: %v, %v", name, text, err)
		}
	}
	var got ids.ID
	if err := m.Scan(pgtype.UUIDOID, pgtype.TextFormatCode, []byte("zz"), &got); err == nil {
		t.Error("scanned zz as an id")
	}
	plans := []interface {
		Encode(any, []byte) ([]byte, error)
	}{encodeIDText{}, encodeIDBinary{}}
	for _, plan := range plans {
		if _, err := plan.Encode("x", nil); err == nil {
			t.Errorf("%T took a string", plan)
		}
	}
	if err := (scanID{}).Scan(nil, new(string)); err == nil {
		t.Error("scanned an id into a string")
	}
}
