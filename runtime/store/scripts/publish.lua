-- Publish an event with an id: of events with one id the first is kept.
-- KEYS: id key, stream. ARGV: ttl ms, field, value, ...
-- Returns {entry id, 1} or {entry id of the first, 0}.
local known = redis.call('GET', KEYS[1])
if known then return {known, 0} end
local entry = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
redis.call('SET', KEYS[1], entry, 'PX', ARGV[1])
return {entry, 1}
