-- Give a step the result of the run that it has invoked, which nobody will end.
-- KEYS: journal of the run that invoked it, inbox of its function.
-- ARGV: path of the step, result, run that invoked it.
redis.call('HDEL', KEYS[1], '') -- removes nothing, but comes first: a full Redis lets the rest happen
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1
   and redis.call('HGET', KEYS[1], '@o') == '' then
  redis.call('XADD', KEYS[2], '*', 'run', ARGV[3])
end
return 1
