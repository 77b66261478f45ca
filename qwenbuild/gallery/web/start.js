// The last script: everything is there, so begin.
"use strict";
gallery.start();
