-- What wrk sends: requests of many browsers in turn, each for the next number, and a line of JSON at the end.
--   wrk -t1 -s load.lua URL -- LOAD
-- LOAD is a file that bench/client.py has written: method, path, body, status, first, step, browsers.
-- One thread only: the numbers are counted in it.

local load
local threads = {}
sent, wanted, others = 0, 0, 0

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  load = dofile(args[1])
end

function request()
  local headers = load.browsers[sent % #load.browsers + 1]
  local body = load.body ~= "" and load.body:format(load.first + sent * load.step) or nil
  sent = sent + 1
  return wrk.format(load.method, load.path, headers, body)
end

function response(status)
  if status == load.status then wanted = wanted + 1 else others = others + 1 end
end

function done(summary, latency)
  local thread, errors = threads[1], summary.errors
  io.write(string.format(
    '{"sent": %d, "wanted": %d, "others": %d, "broken": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f}\n',
    thread:get("sent"), thread:get("wanted"), thread:get("others"),
    errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
