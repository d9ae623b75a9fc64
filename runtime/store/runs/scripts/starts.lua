-- How many new runs a rate limit lets begin now: none that is for a planned one.
-- See begin.
-- KEYS: state, planned runs. ARGV: interval in us, burst.
-- Returns {how many, ms until there is one}.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local stored = tonumber(redis.call('GET', KEYS[1]) or '0')
local tat = math.max(stored, now)
local starts = math.floor(burst - (tat - now) / interval)
local planned = redis.call('ZCARD', KEYS[2])
if planned < starts then return {starts - planned, 0} end
if now - stored + (burst - 1) * interval > 60000000 then return {1, 0} end -- begin finds that nobody comes
return {0, math.max(1, math.ceil((tat + (planned - burst + 1) * interval - now) / 1000))}
