package ratelimit

// Lua defines rl_take(keys, k, args, a): the buckets are keys from k on, each
// with two of args from a on (limit, window in milliseconds). It gives
// {0 or the first bucket that refused, remaining, reset, remaining, reset, …}.
// Put it in front of a script that has more to do in the same trip. Time is the
// server's, so that all instances have one clock.
//
// Buckets are looked at first and charged after, since a refusal by the last
// must not charge the first.
//
// It also defines, for [Leases], rl_lease(keys, k, args, a) and
// rl_give(keys, args); lease.go says what they take and give.
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

local function rl_counter(key, limit, window, now, back, since)
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
  if since == start then
    cur = math.max(0, cur - back)
  elseif since == start - window then
    prev = math.max(0, prev - back)
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

local function rl_now()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function rl_keep(key, s, n, window)
  redis.call('SET', key, string.format('%.0f %.0f %.0f', s[4], s[5] + n, s[6]), 'PX', string.format('%.0f', 2 * window))
end

local function rl_note(key, now, window)
  redis.call('LPUSH', key, string.format('%.0f', now))
  redis.call('PEXPIRE', key, string.format('%.0f', window))
end

local function rl_take(keys, k, args, a)
  local now = rl_now()
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
        rl_keep(key, s, 1, window)
      else
        rl_note(key, now, window)
      end
    end
    out[#out + 1] = math.max(0, s[2])
    out[#out + 1] = s[3]
  end
  return out
end

local function rl_lease(keys, k, args, a)
  local now = rl_now()
  local n = (#args - a + 1) / 6
  local states, denied = {}, 0
  for i = 1, n do
    local j, key = a + 6 * (i - 1), keys[k + i - 1]
    local limit, window = tonumber(args[j]), tonumber(args[j + 1])
    if limit <= 128 then
      states[i] = rl_log(key, limit, window, now)
    else
      states[i] = rl_counter(key, limit, window, now, tonumber(args[j + 4]), tonumber(args[j + 5]))
    end
    if denied == 0 and not states[i][1] and args[j + 3] == '1' then denied = i end
  end
  local out = {denied}
  for i = 1, n do
    local s, j, key = states[i], a + 6 * (i - 1), keys[k + i - 1]
    local window, granted = tonumber(args[j + 1]), 0
    if denied == 0 and s[1] then
      granted = math.min(tonumber(args[j + 2]), math.max(1, math.floor(s[2] / 8)))
    end
    if not s[4] then
      if granted > 0 then
        granted = 1
        rl_note(key, now, window)
      end
    elseif granted > 0 or args[j + 4] ~= '0' then
      rl_keep(key, s, granted, window)
    end
    out[#out + 1] = granted
    out[#out + 1] = math.max(0, s[2] - granted)
    out[#out + 1] = s[3]
    out[#out + 1] = s[4] or 0
  end
  return out
end

local function rl_give(keys, args)
  local now = rl_now()
  for i, key in ipairs(keys) do
    local j = 3 * (i - 1)
    local window = tonumber(args[j + 1])
    rl_keep(key, rl_counter(key, 1e15, window, now, tonumber(args[j + 2]), tonumber(args[j + 3])), 0, window)
  end
  return #keys
end
`
