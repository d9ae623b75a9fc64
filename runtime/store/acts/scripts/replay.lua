-- Start a run with the event of another one. The answer may be lost and asked
-- for again: it is started once.
-- KEYS: guard, inbox. ARGV: new run id, event, run that is replayed, ms to remember.
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[4]) then
  redis.call('XADD', KEYS[2], '*', 'start', ARGV[1], 'event', ARGV[2], 'replay', ARGV[3])
end
return 1
