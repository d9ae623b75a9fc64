-- How many may begin in a period, in one of two ways. Times are in us.
-- A pace has: starts (there are now), idle (how long one has been there that
-- nobody took), at(before) (when there is one with that many before it), take(run),
-- and keep(ms) (for which its state is needed).
local patience = 60000000

-- GCRA has one number of state, see "Generic Cell Rate Algorithm", ITU-T I.371.
local function even(key, interval, burst, now)
  local stored = tonumber(redis.call('GET', key) or '0')
  local tat = math.max(stored, now)
  return {
    starts = math.floor(burst - (tat - now) / interval),
    idle = now - stored + (burst - 1) * interval,
    at = function(before) return tat + (before - burst + 1) * interval end,
    take = function()
      tat = tat + interval
      stored = tat
    end,
    keep = function(ms)
      -- Not the present: since when a start is there that nobody takes is told by it.
      redis.call('SET', key, string.format('%d', stored), 'PX', math.max(math.ceil((tat - now) / 1000) + 1000, ms))
    end,
  }
end

-- Each begin of the last period counts, whatever the rhythm. They are in a sorted
-- set by their time, and stay a while longer, which says since when there is a start.
local function sliding(key, limit, period, now)
  local n = redis.call('ZCOUNT', key, string.format('(%d', now - period), '+inf')
  local last = redis.call('ZREVRANGE', key, limit - 1, limit - 1, 'WITHSCORES')
  local pace = {starts = limit - n, idle = patience + 1}
  if last[2] then pace.idle = now - period - tonumber(last[2]) end
  function pace.at(before)
    local i = before - pace.starts
    local first = redis.call('ZCARD', key) - n + i % limit
    local e = redis.call('ZRANGE', key, first, first, 'WITHSCORES')
    return tonumber(e[2] or now) + period * (1 + math.floor(i / limit))
  end
  function pace.take(run)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%d', now - period - patience))
    redis.call('ZADD', key, string.format('%d', now), run)
    n = n + 1
    pace.starts = pace.starts - 1
  end
  function pace.keep(ms) redis.call('PEXPIRE', key, math.max(math.ceil((period + patience) / 1000), ms)) end
  return pace
end

-- how: 'even' or 'sliding'; size: the burst, or the limit.
local function paceOf(how, key, interval, size, period, now)
  if how == 'sliding' then return sliding(key, size, period, now) end
  return even(key, interval, size, now)
end
