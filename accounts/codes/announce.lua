-- Enqueues the task of an accepted request and tells the open pages. Runs in the same transaction as issue.lua.
--
-- KEYS  the browser's challenge, the list of the queue
-- ARGV  the request's id, the entry for the queue (empty: the queue is not in Redis), the pages' channel, the message
local challenge, queue = KEYS[1], KEYS[2]
local id, entry, channel, message = unpack(ARGV)

-- Only the request that was accepted just now has the challenge.
if redis.call('GET', challenge) ~= id then return end
if entry ~= '' then redis.call('LPUSH', queue, entry) end
redis.call('PUBLISH', channel, message)
