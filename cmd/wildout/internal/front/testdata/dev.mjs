// A client that is told nothing but INNGEST_DEV, without a key.
import { Inngest } from "inngest";

console.log(JSON.stringify(await new Inngest({ id: "dev" }).send([{ name: "dev/two", data: { n: 1 } }])));
