-- Start the run of a cron tick: one per tick, however many runners ask.
-- KEYS: cron, inbox. ARGV: schedule, tick ms, run id, event.
if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'start', ARGV[3], 'event', ARGV[4])
return 1
