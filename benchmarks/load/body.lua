-- Requests that all have the same body, which is made once: else the load generator copies more than the servers do.
-- Arguments: the body's file; a header and its value, and so on.
function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body = file:read("*a")
  file:close()
  local headers = {}
  for i = 2, #args, 2 do headers[args[i]] = args[i + 1] end
  whole = wrk.format("POST", wrk.path, headers, body)
end

function request()
  return whole
end
