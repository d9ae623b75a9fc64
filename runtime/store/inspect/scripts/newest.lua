-- The newest entry of each stream, if it comes after one that is known, without
-- what is in it.
-- KEYS: streams. ARGV: per stream: the entry that is known.
-- Returns per stream its id; '' where there is none, or it is no stream.
local out = {}
for k = 1, #KEYS do
  local found = redis.pcall('XREVRANGE', KEYS[k], '+', '(' .. ARGV[k], 'COUNT', 1)
  out[k] = not found.err and found[1] and found[1][1] or ''
end
return out
