// Send the file with undici, the HTTP client of Node.
//
//     node undici.mjs FILE URL
//
// It prints how many rows were accepted. The file of the benchmark has no quoted cells.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { Pool } from "undici";

const CONCURRENCY = 64;
const [path, address] = process.argv.slice(2);
const url = new URL(address);

function body(line) {
  const [id, email, phone, name, birth, age, score, joined] = line.split(",");
  return JSON.stringify({
    identity: { external_id: id, phone_no: phone, email: email },
    user_properties: {
      df_name: name,
      df_birth: `${birth.slice(0, 4)}-${birth.slice(4, 6)}-${birth.slice(6)}`,
      age: Number(age),
      score: Number(score),
      joined_at: new Date(`${joined.replace(" ", "T")}+09:00`).toISOString(),
    },
    request_datetime: new Date().toISOString(),
  });
}

const lines = createInterface({ input: createReadStream(path) })[Symbol.asyncIterator]();
await lines.next(); // the header
const pool = new Pool(url.origin, { connections: CONCURRENCY });
const headers = { "content-type": "application/json", access_token: "bench" };

async function work() {
  let accepted = 0;
  for (let next = await lines.next(); !next.done; next = await lines.next()) {
    const reply = await pool.request({
      path: url.pathname + url.search, method: "POST", headers, body: body(next.value),
    });
    accepted += (await reply.body.json()).code === "20000" ? 1 : 0;
  }
  return accepted;
}

const counts = await Promise.all(Array.from({ length: CONCURRENCY }, work));
console.log(counts.reduce((sum, count) => sum + count, 0));
await pool.close();
