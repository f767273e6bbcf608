-- Enqueues the task of an accepted request and tells the open pages. Runs in the same transaction as issue.lua.
--
-- KEYS  the browser's challenge, the list of the queue (none: the queue is not in Redis)
-- ARGV  the request's id, the pages' channel, the message for it, the entry for the queue
local challenge, queue = KEYS[1], KEYS[2]
local id, channel, message, entry = unpack(ARGV)

-- Only the request that was accepted just now has the challenge.
if redis.call('GET', challenge) ~= id then return end
if queue then redis.call('LPUSH', queue, entry) end
redis.call('PUBLISH', channel, message)
