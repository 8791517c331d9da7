package ratelimit

// Lua defines rl_take(keys, k, args, a): the buckets are keys from k on, each
// with two of args from a on (limit, window in milliseconds). It gives
// {0 or the first bucket that refused, remaining, reset, remaining, reset, …}.
// Put it in front of a script that has more to do in the same trip. Time is the
// server's, so that all instances have one clock.
//
// Buckets are looked at first and charged after, since a refusal by the last
// must not charge the first.
const Lua = `
local function rl_log(key, limit, window, now)
  local tail = redis.call('LINDEX', key, -1)
  while tail and tonumber(tail) <= now - window do
    redis.call('RPOP', key)
    tail = redis.call('LINDEX', key, -1)
  end
  local n = 0
  if tail then n = redis.call('LLEN', key) end
  local reset = window
  if tail then reset = tonumber(tail) + window - now end
  return {n < limit, limit - n, reset}
end

local function rl_counter(key, limit, window, now)
  local start, cur, prev = now - now % window, 0, 0
  local raw = redis.call('GET', key)
  if raw then
    local s, c, p = string.match(raw, '^(%d+) (%d+) (%d+)$')
    s = tonumber(s)
    if s >= start then
      start, cur, prev = s, tonumber(c), tonumber(p)
    elseif s == start - window then
      prev = tonumber(c)
    end
  end
  local gone = math.max(0, now - start)
  local used = cur + math.floor(prev * (window - gone) / window)
  local ok, reset = used < limit, window - gone
  if not ok then
    local room = limit - cur
    if room > 0 then
      reset = math.floor(window * (prev - room) / prev) + 1 - gone
    elseif limit > 0 then
      reset = reset + math.floor(window * (cur - limit) / cur) + 1
    end
  end
  return {ok, limit - used, math.max(reset, 1), start, cur, prev}
end

local function rl_take(keys, k, args, a)
  local t = redis.call('TIME')
  local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
  local n = (#args - a + 1) / 2
  local states, denied = {}, 0
  for i = 1, n do
    local limit, window = tonumber(args[a + 2 * (i - 1)]), tonumber(args[a + 2 * (i - 1) + 1])
    local look = rl_counter
    if limit <= 128 then look = rl_log end
    states[i] = look(keys[k + i - 1], limit, window, now)
    if denied == 0 and not states[i][1] then denied = i end
  end
  local out = {denied}
  for i = 1, n do
    local s, key = states[i], keys[k + i - 1]
    local window = tonumber(args[a + 2 * (i - 1) + 1])
    if denied == 0 then
      s[2] = s[2] - 1
      if s[4] then
        redis.call('SET', key, string.format('%.0f %.0f %.0f', s[4], s[5] + 1, s[6]), 'PX', string.format('%.0f', 2 * window))
      else
        redis.call('LPUSH', key, string.format('%.0f', now))
        redis.call('PEXPIRE', key, string.format('%.0f', window))
      end
    end
    out[#out + 1] = math.max(0, s[2])
    out[#out + 1] = s[3]
  end
  return out
end
`
