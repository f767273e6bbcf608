-- Does in Redis what an accepted request for a code does (accounts/codes/issue.lua, announce.lua), and undoes it.
--
-- KEYS  a counter, a mark, the list of the queue (none: the queue is not in Redis)
-- ARGV  a channel that nobody listens to, a message, an entry
local counter, mark, queue = KEYS[1], KEYS[2], KEYS[3]
local channel, message, entry = unpack(ARGV)

redis.call('ZADD', counter, redis.call('TIME')[1], message)
redis.call('PEXPIRE', counter, 1000)
redis.call('ZREMRANGEBYSCORE', counter, '-inf', 0)
redis.call('ZCOUNT', counter, 0, '+inf')
redis.call('ZREVRANGE', counter, 0, 0, 'WITHSCORES')
redis.call('ZREM', counter, message)
redis.call('SET', mark, message, 'PX', 1000)
redis.call('GET', mark)
redis.call('PTTL', mark)
redis.call('EXISTS', mark)
redis.call('DEL', counter, mark)
-- Whoever waits for the list is served after the script, so no worker gets the entry. It is added only where it can be
-- taken back.
local taken = queue and redis.pcall('LPOP', queue, 0)
if queue and not (type(taken) == 'table' and taken.err) then
  redis.call('LPUSH', queue, entry)
  redis.call('LPOP', queue)
end
redis.call('PUBLISH', channel, message)
