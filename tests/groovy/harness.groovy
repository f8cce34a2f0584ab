// Runs builds, one after the other: groovy -cp jenkins harness.groovy SPEC.json... (conftest.py writes the files).
args.each { spec -> new harness.Build((Map) new groovy.json.JsonSlurper().parse(new File(spec), 'UTF-8')).run() }
