package stripe

import (
	"net/http"
	"slices"
)

func (c *request) createProduct() (any, error) {
	name, err := c.need("name")
	if err != nil {
		return nil, err
	}
	id := c.text("id")
	if id == "" {
		id = newID("prod_")
	}
	if c.s.Products[id] != nil {
		return nil, &apiError{status: http.StatusBadRequest, Type: invalidRequest, Code: "resource_already_exists", Message: "Product already exists.", Param: "id"}
	}
	v := &Product{ID: id, Object: "product", Active: true, Created: c.now().Unix(), Metadata: c.merge(nil), Name: name}
	c.s.Products[id] = v
	c.s.made(id)
	c.emit("product.created", v, nil, v.Created)
	return v, nil
}

func (c *request) getProduct() (any, error) {
	if v := c.s.Products[c.r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, noSuch("product", c.r.PathValue("id"), "id")
}

func (c *request) updateProduct() (any, error) {
	v := c.s.Products[c.r.PathValue("id")]
	if v == nil {
		return nil, noSuch("product", c.r.PathValue("id"), "id")
	}
	before := snapshot(v)
	if c.has("name") {
		v.Name = c.text("name")
	}
	if c.has("active") {
		active, err := c.flag("active")
		if err != nil {
			return nil, err
		}
		v.Active = active
	}
	v.Metadata = c.merge(v.Metadata)
	c.emit("product.updated", v, before, c.now().Unix())
	return v, nil
}

func (c *request) createPrice() (any, error) {
	product, err := c.need("product")
	if err != nil {
		return nil, err
	}
	if c.s.Products[product] == nil {
		return nil, noSuch("product", product, "product")
	}
	currency, err := c.need("currency")
	if err != nil {
		return nil, err
	}
	if _, err := c.need("unit_amount"); err != nil {
		return nil, err
	}
	amount, err := c.int("unit_amount")
	if err != nil {
		return nil, err
	}
	if _, err := c.need("recurring.interval"); err != nil {
		return nil, err
	}
	interval, err := c.one("recurring.interval", "month", "year")
	if err != nil {
		return nil, err
	}
	v := &Price{
		ID: newID("price_"), Object: "price", Active: true, Created: c.now().Unix(), Currency: currency, Metadata: c.merge(nil), Product: ref(product),
		Recurring: Recurring{Interval: interval, IntervalCount: 1, UsageType: "licensed"}, Type: "recurring", UnitAmount: amount,
	}
	if err := c.nameBy(v); err != nil {
		return nil, err
	}
	c.s.Prices[v.ID] = v
	c.s.made(v.ID)
	c.emit("price.created", v, nil, v.Created)
	return v, nil
}

// nameBy gives a price its lookup key, taking it from another one if that is
// asked for.
func (c *request) nameBy(v *Price) error {
	key := c.text("lookup_key")
	if key == "" {
		return nil
	}
	move, err := c.flag("transfer_lookup_key")
	if err != nil {
		return err
	}
	for _, other := range c.s.Prices {
		if other != v && string(other.LookupKey) == key {
			if !move {
				return invalid("lookup_key", "A price (`"+other.ID+"`) already uses that lookup key.")
			}
			before := snapshot(other)
			other.LookupKey = ""
			c.emit("price.updated", other, before, c.now().Unix())
		}
	}
	v.LookupKey = ref(key)
	return nil
}

func (c *request) updatePrice() (any, error) {
	v := c.s.Prices[c.r.PathValue("id")]
	if v == nil {
		return nil, noSuch("price", c.r.PathValue("id"), "id")
	}
	before := snapshot(v)
	if c.has("active") {
		active, err := c.flag("active")
		if err != nil {
			return nil, err
		}
		v.Active = active
	}
	if err := c.nameBy(v); err != nil {
		return nil, err
	}
	v.Metadata = c.merge(v.Metadata)
	c.emit("price.updated", v, before, c.now().Unix())
	return v, nil
}

func (c *request) getPrice() (any, error) {
	if v := c.s.Prices[c.r.PathValue("id")]; v != nil {
		return v, nil
	}
	return nil, noSuch("price", c.r.PathValue("id"), "id")
}

func (c *request) listPrices() (any, error) {
	keys := c.list("lookup_keys")
	if len(keys) > 10 {
		return nil, invalid("lookup_keys", "At most 10 lookup keys.")
	}
	active, err := c.flag("active")
	if err != nil {
		return nil, err
	}
	var all []*Price
	for _, v := range c.s.Prices {
		if (len(keys) == 0 || slices.Contains(keys, string(v.LookupKey))) && (!c.has("active") || v.Active == active) &&
			(!c.has("product") || string(v.Product) == c.text("product")) {
			all = append(all, v)
		}
	}
	return list(c, func(v *Price) string { return v.ID }, all)
}
