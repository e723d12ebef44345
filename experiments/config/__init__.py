"""What a study is: composed from `conf/`, checked, built."""
