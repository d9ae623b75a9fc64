// What applications do with the official client, as it is published. The
// settings come from the environment, as theirs do; the answers go to stdout.
import { Inngest } from "inngest";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const client = (options = {}) => new Inngest({ id: "contract", logger: quiet, ...options });
const report = {};
const run = async (name, work) => {
  try {
    report[name] = { result: await work() };
  } catch (error) {
    report[name] = { error: error.message };
  }
};
const env = process.env;
const inngest = client();

await run("one", () => inngest.send({ name: "shop/one", data: { n: 1 } }));
await run("no data", () => inngest.send({ name: "shop/no-data" }));
await run("many", () => inngest.send([1, 2, 3].map((n) => ({ name: "shop/many", data: { n }, v: "2", user: { id: "u" } }))));
await run("5000", () => inngest.send(Array.from({ length: 5000 }, (_, n) => ({ name: "shop/lots", data: { n } }))));
await run("5001", () => inngest.send(Array.from({ length: 5001 }, (_, n) => ({ name: "shop/too-many", data: { n } }))));
await run("first with an id", () => inngest.send({ id: "order-7", name: "shop/id", data: { n: 1 } }));
await run("second with an id", () => inngest.send({ id: "order-7", name: "shop/id", data: { n: 2 } }));
await run("unicode", () => inngest.send({ name: "shop/unicode", data: { "ключ": "значение 🦦  \ud800 \u0000" } }));
await run("big", () => inngest.send({ name: "shop/big", data: { text: "é".repeat(500_000) } }));
await run("too big", () => inngest.send({ name: "shop/too-big", data: { text: "x".repeat(1 << 20) } }));
await run("bad data", () => inngest.send([{ name: "shop/one", data: { n: 99 } }, { name: "user/registered", data: { userId: "u" } }]));
await run("reserved", () => inngest.send({ name: "inngest/function.failed", data: {} }));
await run("forbidden", () => inngest.send({ name: "bank/transfer", data: {} }));
await run("wrong key", () => client({ eventKey: "this-key-is-no-bodys" }).send({ name: "shop/one", data: {} }));
// The connection breaks after the events were taken, then a proxy has a fault: the client sends again by itself.
await run("broken", () => client({ baseUrl: env.FLAKY }).send([{ name: "shop/broken", data: { n: 1 } }, { name: "shop/broken", data: { n: 2 } }]));
await run("branch", () => client({ env: "feature-x" }).send({ name: "shop/branch", data: {} }));
await run("explicit dev", () => client({ isDev: true, baseUrl: env.ANYONE, eventKey: undefined }).send({ name: "dev/one", data: {} }));

console.log(JSON.stringify(report));
