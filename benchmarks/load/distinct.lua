-- Predict requests that are all different: a counter, the thread, and the time of the run are part of each input.
-- Arguments: number of doubles in an input; what the body has before them and after them.
-- There is no response function: it would cost wrk a fifth of its speed, and wrk counts statuses by itself.
local threads = 0
function setup(thread)
  thread:set("thread_id", threads)
  threads = threads + 1
end

function init(args)
  sent = 0
  local rest = {}
  for i = 4, tonumber(args[1]) do rest[#rest + 1] = string.format("%.4f", (i * 7919 % 9973) / 9973) end
  -- gsub: the format below must not see per cent signs of the caller's
  before = args[2]:gsub("%%", "%%%%") .. "%d.0, %d.0, %d.5, "
  after = table.concat(rest, ", ") .. args[3]
  started = os.time() % 1000000
end

function request()
  sent = sent + 1
  local body = string.format(before, sent, thread_id, started) .. after
  local headers = {["Content-Type"] = "application/json", ["Authorization"] = wrk.headers["Authorization"]}
  return wrk.format("POST", wrk.path, headers, body)
end
