<?php

declare(strict_types=1);

require_once __DIR__ . '/../autoload.php';

// The Worker under test, and connections to it, as in the tests of the PHP package.
require_once __DIR__ . '/../../php/tests/LiveWorker.php';
require_once __DIR__ . '/../../php/tests/TestConnection.php';
