<?php

// Loads Debian's packages from the include path.

declare(strict_types=1);

require_once 'GuzzleHttp/autoload.php';
require_once 'Illuminate/autoload.php';
