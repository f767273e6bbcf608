-- Decides on one request for a code, and writes what counts it. A request that is refused writes nothing.
--
-- KEYS     the number's cooldown, the browser's challenge, the mark that the counters are complete, each counter
-- ARGV[1]  JSON: id, cooldown_ms, code_ms, record_only, proof_near_limit,
--          counters: for each its `most`, its `window_ms`, and from how many on (`near`) a proof is asked for
-- Returns  JSON: answer (ok, cooldown, uncounted, limit, proof), wait_ms, holder, and limit: which counter, from 0 on
local cooldown, challenge, complete = KEYS[1], KEYS[2], KEYS[3]
local request = cjson.decode(ARGV[1])
local counters = request.counters
for i, counter in ipairs(counters) do counter.key = KEYS[3 + i] end

-- The same request again: its first answer was lost.
local holder = redis.call('GET', cooldown)
if holder == request.id or redis.call('GET', challenge) == request.id then
  return cjson.encode({answer = 'ok'})
end

local left = redis.call('PTTL', cooldown)
if left > 0 then return cjson.encode({answer = 'cooldown', wait_ms = left, holder = holder}) end
if redis.call('EXISTS', complete) == 0 then return cjson.encode({answer = 'uncounted'}) end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, near, wait_ms = nil, false, 0
for i, counter in ipairs(counters) do
  local count = redis.call('ZCOUNT', counter.key, now - counter.window_ms, '+inf')
  if count >= counter.most then
    limit = limit or i - 1
    -- There is room again when all but the newest `most - 1` have left the window.
    local at = counter.most - 1
    local last = at >= 0 and redis.call('ZREVRANGE', counter.key, at, at, 'WITHSCORES')[2]
    wait_ms = math.max(wait_ms, last and last + counter.window_ms - now or counter.window_ms)
  end
  near = near or count >= counter.near
end
if limit and not request.record_only then
  return cjson.encode({answer = 'limit', wait_ms = math.max(wait_ms, 1000), limit = limit})
end
if near and request.proof_near_limit then return cjson.encode({answer = 'proof'}) end

for _, counter in ipairs(counters) do
  -- First what a full Redis refuses: once a script has written anything, it may go on.
  redis.call('ZADD', counter.key, now, request.id)
  redis.call('ZREMRANGEBYSCORE', counter.key, '-inf', now - counter.window_ms)
  redis.call('PEXPIRE', counter.key, counter.window_ms)
end
if request.cooldown_ms > 0 then redis.call('SET', cooldown, request.id, 'PX', request.cooldown_ms) end
redis.call('SET', challenge, request.id, 'PX', request.code_ms)
return cjson.encode({answer = 'ok', limit = limit})
