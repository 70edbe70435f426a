// tus-js-client as a program would use it: node tus_client.cjs FOLDER_OF_THE_PACKAGE ENDPOINT FILE [CHUNK_SIZE]
// Says "sent N" as it goes on, and at the end "done URL"; an error goes to stderr and ends it with 1.
const fs = require("node:fs");

const [, , folder, endpoint, path, chunkSize] = process.argv;
const { Upload } = require(folder);

const upload = new Upload(fs.createReadStream(path), {
  endpoint,
  uploadSize: fs.statSync(path).size,
  chunkSize: chunkSize ? Number(chunkSize) : Infinity,
  metadata: { filename: "from node.pt", purpose: "checkpoint" },
  retryDelays: Array(60).fill(500),
  onProgress: (sent) => console.log(`sent ${sent}`),
  onSuccess: () => console.log(`done ${upload.url}`),
  onError(error) {
    console.error(error.message);
    process.exit(1);
  },
});
upload.start();
