-- Predict requests that are all different: a counter, the thread, and the time of the run are part of each input.
-- Arguments: number of doubles in an input.
local threads = 0
function setup(thread)
  thread:set("thread_id", threads)
  threads = threads + 1
end

function init(args)
  sent = 0
  local rest = {}
  for i = 4, tonumber(args[1]) do rest[#rest + 1] = string.format("%.4f", (i * 7919 % 9973) / 9973) end
  tail = ", " .. table.concat(rest, ", ") .. "]}"
  started = os.time() % 1000000
  failed = 0
end

function request()
  sent = sent + 1
  local body = string.format('{"input": [%d.0, %d.0, %d.5', sent, thread_id, started) .. tail
  return wrk.format("POST", wrk.path, {["Content-Type"] = "application/json"}, body)
end
