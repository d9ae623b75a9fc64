-- Register a wait. What was published before this moment is in the stream for
-- the look-back, what comes after it meets the wait: nothing falls between.
-- KEYS: journal, wait set, stream. ARGV: progress field, progress, candidate field, member.
-- Returns the id of the newest entry.
redis.call('HDEL', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[4])
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
if newest[1] then return newest[1][1] end
return '0-0'
