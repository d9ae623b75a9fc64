-- How large streams are and where they begin and end, without what is in them.
-- KEYS: streams. Returns per stream {entries, id of the oldest, id of the newest, bytes},
-- {0} where there is none.
local out = {}
for k = 1, #KEYS do
  local row = {0}
  if redis.call('TYPE', KEYS[k]).ok == 'stream' then
    row[1] = redis.call('XLEN', KEYS[k])
    local first = redis.call('XRANGE', KEYS[k], '-', '+', 'COUNT', 1)[1]
    local last = redis.call('XREVRANGE', KEYS[k], '+', '-', 'COUNT', 1)[1]
    row[2], row[3] = first and first[1] or '', last and last[1] or ''
    row[4] = redis.call('MEMORY', 'USAGE', KEYS[k]) or 0
  end
  out[k] = row
end
return out
