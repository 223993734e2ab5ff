-- Post the body that the file named by BODY holds, over and over.
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["access_token"] = "bench"
file:close()
