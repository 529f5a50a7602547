// What Dockless is compared with, npm's container-image-builder, as a command:
//   node reference_driver.js build FOLDER BASE DESTINATION        one layer of FOLDER under /app on BASE
//   node reference_driver.js copy SOURCE DESTINATION
'use strict';
const http = require('http');
const path = require('path');

// It takes only 204 for a PATCH; registries say 202, as the distribution spec wants.
const emit = http.ClientRequest.prototype.emit;
http.ClientRequest.prototype.emit = function (event, answer) {
  if (event === 'response' && this.method === 'PATCH' && answer.statusCode === 202) {
    answer.statusCode = 204;
  }
  return emit.apply(this, arguments);
};

const {Image} = require(path.join(process.cwd(), 'node_modules', 'container-image-builder'));
const [mode, ...names] = process.argv.slice(2);
const folder = mode === 'build' ? names.shift() : null;
const [from, to] = names;
const nobody = {};
for (const name of names) {
  nobody[name.split('/')[0]] = {};
}

async function main() {
  const image = new Image(from, to, {auth: nobody});
  if (folder) {
    await image.addFiles({'/app': folder});
  }
  await image.save([to.split(':').pop()]);
}
main().catch(error => {
  console.error(error);
  process.exit(1);
});
