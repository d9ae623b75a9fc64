-- Register a wait. What was published before this moment is in the stream for
-- the look-back, what comes after it meets the wait: nothing falls between.
-- A zombie registers none: see emit.
-- The position of its first registration is kept: what is not newer is not delivered.
-- KEYS: journal, wait set, stream, source stream.
-- ARGV: progress field, progress, candidate field, member, group, entry id, runner, position field.
-- Returns the id of the newest entry.
if #redis.call('XPENDING', KEYS[4], ARGV[5], ARGV[6], ARGV[6], 1, ARGV[7]) == 0 then
  return redis.error_reply('FENCED the run has another owner')
end
redis.call('HDEL', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[4])
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
local position = newest[1] and newest[1][1] or '0-0'
redis.call('HSETNX', KEYS[1], ARGV[8], position)
return position
