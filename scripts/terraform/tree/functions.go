package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are those of Terraform's that the configuration uses; files are read
// from dir.
func functions(dir string) map[string]function.Function {
	return map[string]function.Function{
		"can":             tryfunc.CanFunc,
		"try":             tryfunc.TryFunc,
		"concat":          stdlib.ConcatFunc,
		"contains":        stdlib.ContainsFunc,
		"distinct":        stdlib.DistinctFunc,
		"flatten":         stdlib.FlattenFunc,
		"floor":           stdlib.FloorFunc,
		"format":          stdlib.FormatFunc,
		"join":            stdlib.JoinFunc,
		"jsondecode":      stdlib.JSONDecodeFunc,
		"jsonencode":      stdlib.JSONEncodeFunc,
		"keys":            stdlib.KeysFunc,
		"lower":           stdlib.LowerFunc,
		"max":             stdlib.MaxFunc,
		"merge":           stdlib.MergeFunc,
		"min":             stdlib.MinFunc,
		"range":           stdlib.RangeFunc,
		"regex":           stdlib.RegexFunc,
		"regexall":        stdlib.RegexAllFunc,
		"replace":         stdlib.ReplaceFunc,
		"setintersection": stdlib.SetIntersectionFunc,
		"setsubtract":     stdlib.SetSubtractFunc,
		"setunion":        stdlib.SetUnionFunc,
		"slice":           stdlib.SliceFunc,
		"sort":            stdlib.SortFunc,
		"split":           stdlib.SplitFunc,
		"substr":          stdlib.SubstrFunc,
		"tolist":          stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
		"tomap":           stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber":        stdlib.MakeToFunc(cty.Number),
		"toset":           stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tostring":        stdlib.MakeToFunc(cty.String),
		"trimprefix":      stdlib.TrimPrefixFunc,
		"trimsuffix":      stdlib.TrimSuffixFunc,
		"upper":           stdlib.UpperFunc,
		"values":          stdlib.ValuesFunc,

		"length":     length,
		"lookup":     lookup,
		"one":        one,
		"startswith": about(strings.HasPrefix),
		"endswith":   about(strings.HasSuffix),
		"sha256": text(func(s string) (string, error) {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:]), nil
		}),
		"file": text(func(name string) (string, error) {
			if !filepath.IsAbs(name) {
				name = filepath.Join(dir, name)
			}
			raw, err := os.ReadFile(name)
			return string(raw), err
		}),
		// What depends on these, on the hour or on addresses, is nobody's right.
		"alltrue":       unknown(cty.Bool),
		"anytrue":       unknown(cty.Bool),
		"sum":           unknown(cty.Number),
		"nonsensitive":  unknown(cty.DynamicPseudoType),
		"plantimestamp": unknown(cty.String),
		"timeadd":       unknown(cty.String),
		"cidrhost":      unknown(cty.String),
		"cidrnetmask":   unknown(cty.String),
		"templatefile":  unknown(cty.String),
		"base64encode":  unknown(cty.String),
		"yamlencode":    unknown(cty.String),
	}
}

func unknown(kind cty.Type) function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "any", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
		Type:     function.StaticReturnType(kind),
		Impl:     func([]cty.Value, cty.Type) (cty.Value, error) { return cty.UnknownVal(kind), nil },
	})
}

func text(work func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			out, err := work(args[0].AsString())
			return cty.StringVal(out), err
		},
	})
}

func about(work func(text, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(work(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

var length = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v := args[0]
		switch {
		case v.Type() == cty.String:
			return stdlib.Strlen(v)
		case v.Type().IsObjectType():
			return cty.NumberIntVal(int64(v.LengthInt())), nil
		}
		return stdlib.Length(v)
	},
})

var lookup = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "map", Type: cty.DynamicPseudoType, AllowDynamicType: true}, {Name: "key", Type: cty.String}},
	VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
	Type:     function.StaticReturnType(cty.DynamicPseudoType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		for it := args[0].ElementIterator(); it.Next(); {
			if key, v := it.Element(); key.RawEquals(args[1]) {
				return v, nil
			}
		}
		if len(args) != 3 {
			return cty.NilVal, errors.New("the map has no such key")
		}
		return args[2], nil
	},
})

var one = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType, AllowDynamicType: true}},
	Type:   function.StaticReturnType(cty.DynamicPseudoType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		all := args[0].AsValueSlice()
		switch len(all) {
		case 0:
			return cty.NullVal(cty.DynamicPseudoType), nil
		case 1:
			return all[0], nil
		}
		return cty.NilVal, errors.New("there is more than one")
	},
})
