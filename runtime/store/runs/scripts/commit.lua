-- Fix the result of a step in a full Redis, which refuses the plain command: runs
-- that have begun must come to their end, which frees what they hold.
-- KEYS: journal. ARGV: path, result. Returns 1 when the result was new, else 0.
redis.call('HDEL', KEYS[1], '') -- removes nothing, but comes first: then the rest may happen, see beat
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
